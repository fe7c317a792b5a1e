from session_scoping.commands import main

main(prog_name="python -m session_scoping")
