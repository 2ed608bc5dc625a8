# Standard interface packages. The ROS 2 wheels lack two of them: pip builds the messages in compat/<package> into a staging
# prefix and installs them beside dope_msgs. A workspace uses those of its ROS 2, since a stand-in there would hide the
# real package from all that is built on top of it.

set(_staging ${CMAKE_CURRENT_BINARY_DIR}/compat/prefix)

function(_run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE _result OUTPUT_VARIABLE _output ERROR_VARIABLE _output)
  if(NOT _result EQUAL 0)
    message(FATAL_ERROR "${ARGN}\n${_output}")
  endif()
endfunction()

function(_build_compat _package)
  set(_build ${CMAKE_CURRENT_BINARY_DIR}/compat/${_package})
  string(REPLACE ";" "\\;" _prefixes "${CMAKE_PREFIX_PATH}")
  message(STATUS "${_package} is missing: its messages in compat/${_package} are built")
  _run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_SOURCE_DIR}/compat/${_package} -B ${_build} -G ${CMAKE_GENERATOR}
    "-DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM}" "-DCMAKE_PREFIX_PATH=${_prefixes}"
    -DCMAKE_INSTALL_PREFIX=${_staging} -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE}
    "-DPython3_EXECUTABLE=${Python3_EXECUTABLE}" -DBUILD_TESTING=OFF)
  _run(${CMAKE_COMMAND} --build ${_build} --target install --parallel)
endfunction()

macro(find_or_build_interfaces)
  foreach(_package ${ARGN})
    find_package(${_package} QUIET NO_CMAKE_INSTALL_PREFIX)
    if(NOT ${_package}_FOUND OR EXISTS ${_staging}/share/${_package})
      _build_compat(${_package})
      list(PREPEND CMAKE_PREFIX_PATH ${_staging})
      unset(${_package}_DIR CACHE)
      find_package(${_package} REQUIRED)
      set(_compat_built TRUE)
    endif()
  endforeach()
  if(_compat_built)
    install(DIRECTORY ${_staging}/ DESTINATION . USE_SOURCE_PERMISSIONS)
  endif()
endmacro()

macro(find_interfaces _package)
  file(REMOVE_RECURSE ${CMAKE_CURRENT_BINARY_DIR}/compat)  # a stand-in that an earlier version built
  find_package(${_package} QUIET)
  if(NOT ${_package}_FOUND)
    string(REPLACE "_" "-" _name ${_package})
    message(FATAL_ERROR "${_package} is missing. Install it and build again:\n"
      "  sudo apt install ros-$ENV{ROS_DISTRO}-${_name}\n"
      "or all that the workspace needs:\n  rosdep install --from-paths src --ignore-src")
  endif()
endmacro()
