"""The program that holds one model version and answers predictions."""
