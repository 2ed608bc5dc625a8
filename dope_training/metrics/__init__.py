"""How good poses and scores are: pure functions of arrays and poses, one published measure after the other."""
