"""The pages: what a person sees in a browser. An entrance beside HTTP and the command line."""
