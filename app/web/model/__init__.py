"""The model made visible: commands, the events they lead to, the views, and who reads those."""
