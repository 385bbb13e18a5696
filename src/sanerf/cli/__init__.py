"""The command line: one file a command, no science in it. The contract for scripts is in docs/cli.md."""
