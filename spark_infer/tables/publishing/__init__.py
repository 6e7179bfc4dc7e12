"""How the files of sealed units become part of a table, once, whatever is killed when."""
