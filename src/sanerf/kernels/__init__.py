"""The four inner loops: a readable torch reference (`reference`) and faster twins with the same signatures."""
