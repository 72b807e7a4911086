"""The other servers, each a program that runs in an environment of its own, and what that environment is built from."""
