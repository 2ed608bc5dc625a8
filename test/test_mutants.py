"""The list of faults fits the code, and its runner tells which of them the tests notice."""

import ast
from pathlib import Path

import pytest
from mutants import MUTANTS, Mutant
from run_mutants import main, mutated

ROOT = Path(__file__).resolve().parents[1]
CODE = "LIMIT = 3\n\n\ndef limited(x):\n    return min(x, LIMIT) + 0 * x\n"
TESTS = "from code_under_test import limited\n\n\ndef test_it_is_limited():\n    assert limited(9) == 3\n"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_fault_can_be_made_and_its_tests_are_there(mutant):
    text = (ROOT / mutant.file).read_text()
    changed = mutated(text, mutant)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text))
    assert mutant.tests
    assert [test for test in mutant.tests if not (ROOT / test.partition("::")[0]).is_file()] == []
    assert mutant.guards


def test_faults_have_names_of_their_own():
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names)) >= 32


@pytest.fixture
def tree(tmp_path):
    """A project of one function and one test."""
    (tmp_path / "test").mkdir()
    (tmp_path / "code_under_test.py").write_text(CODE)
    (tmp_path / "test" / "test_code.py").write_text(TESTS)
    return tmp_path


def fault(old, new, lives="", name="fault"):
    return Mutant(name, "code_under_test.py", old, new, ("test/test_code.py",), "the limit", lives)


def test_faults_are_made_in_a_copy_one_at_a_time_and_their_fates_printed(tree, capfd):
    faults = [
        fault("LIMIT = 3", "LIMIT = 4", name="noticed"),
        fault("0 * x", "0 * x * x", name="unnoticed"),
        fault("0 * x", "0 * x * x", lives="it is the same", name="known"),
    ]
    assert main([], tree, faults) == 1
    lines = capfd.readouterr().out.splitlines()
    words = {"noticed": ["killed", "test_it_is_limited"], "unnoticed": ["LIVES"], "known": ["lives (known)"]}
    for name, said in words.items():
        assert any(name in line.split() and all(word in line for word in said) for line in lines)
    assert any("3 mutants: 1 killed, 1 LIVES" in line for line in lines)
    assert (tree / "code_under_test.py").read_text() == CODE


@pytest.mark.parametrize(
    ("mutant", "message"),
    [
        (fault("LIMIT", "MOST"), "code_under_test.py has 'LIMIT' 2 times, not once"),
        (fault("3\n", "(\n"), "pytest ended with"),
    ],
    ids=["not there once", "no Python"],
)
def test_a_fault_that_cannot_be_made_is_an_error(tree, capfd, mutant, message):
    assert main([], tree, [mutant]) == 2
    assert message in "".join(capfd.readouterr())


def test_nothing_is_judged_by_tests_that_fail_anyway(tree, capfd):
    (tree / "test" / "test_code.py").write_text(TESTS.replace("== 3", "== 5"))
    assert main([], tree, [fault("LIMIT = 3", "LIMIT = 4")]) == 2
    assert "without any fault the tests do not pass" in capfd.readouterr().err


def test_a_fault_that_never_ends_is_noticed(tree, capfd):
    endless = fault("    return min", "    while x:\n        pass\n    return min")
    assert main(["--timeout", "5"], tree, [endless]) == 0
    assert "no answer within 5 s" in capfd.readouterr().out


def test_only_what_is_asked_for_is_made(tree, capfd):
    faults = [fault("LIMIT = 3", "LIMIT = 4"), fault("0 * x", "0 * x * x")._replace(name="other")]
    assert main(["fau"], tree, faults) == 0
    assert "other" not in capfd.readouterr().out
    with pytest.raises(SystemExit):
        main(["unknown"], tree, faults)
