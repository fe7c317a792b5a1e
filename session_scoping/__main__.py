from session_scoping.cli import main

main(prog_name="python -m session_scoping")
