<?php
// Recursion on C's stack, which PHP 8.2 does not bound.
ini_set('memory_limit', -1);
function recurse() { array_map('recurse', [1]); }
recurse();
