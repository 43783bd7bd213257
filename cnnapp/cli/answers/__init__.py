"""Commands that give answers: for images, for labelled sets, over HTTP."""
