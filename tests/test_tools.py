"""The programs behind the make targets: a wrong argument is an error, not a result."""

import pytest

from tests.test_cli import run_process


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("tools.verdicts --only nope", "no environment has nope in its name"),
        ("tools.verdicts --check --only nope", "no environment has nope in its name"),
        ("tools.flakes x", "argument RUNS: 'x' is not a number from 1 upwards"),
        ("tools.interrupts 0", "argument MOMENTS: '0' is not a number from 1 upwards"),
        ("tools.repeat -1", "argument RUNS: '-1' is not a number from 1 upwards"),
        ("tools.stacks --sample 0", "'0' is not a number from 1 upwards"),
        ("tools.mutants --sample x", "'x' is not a number from 1 upwards"),
        ("tools.mutants.proofs nope", "no proof is of nope"),
        ("tools.documents", "the following arguments are required: --write"),
        ("tests.examples", "the following arguments are required: CAUSE"),
        ("tests.examples nope", "argument CAUSE: invalid choice: 'nope'"),
    ],
)
def test_a_wrong_argument_is_refused(command: str, message: str) -> None:
    result = run_process("-m", *command.split())
    assert message in result.err.splitlines()[-1]
    assert (result.status, result.out) == (2, "")
