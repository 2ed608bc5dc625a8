# What the ROS 2 wheels of the Python package index need beyond an ordinary ROS 2. Harmless on the latter.

# Nothing is sourced: the prefix is the one that ament_cmake came from.
if(NOT DEFINED ENV{AMENT_PREFIX_PATH})
  get_filename_component(_ros_prefix "${ament_cmake_DIR}/../../.." ABSOLUTE)
  set(ENV{AMENT_PREFIX_PATH} "${_ros_prefix}")
endif()

# The wheels export include directories of the machine they were built on;
# one that does not exist here would fail the generate step.
function(drop_missing_include_directories)
  foreach(_package IN LISTS ARGN)
    set(_target ${_package}::${_package}__rosidl_generator_py)
    if(TARGET ${_target})
      get_target_property(_directories ${_target} INTERFACE_INCLUDE_DIRECTORIES)
      set(_kept "")
      foreach(_directory IN LISTS _directories)
        if(EXISTS "${_directory}")
          list(APPEND _kept "${_directory}")
        endif()
      endforeach()
      set_property(TARGET ${_target} PROPERTY INTERFACE_INCLUDE_DIRECTORIES "${_kept}")
    endif()
  endforeach()
endfunction()
