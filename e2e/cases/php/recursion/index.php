<?php
ini_set('memory_limit', '16M');
function again($n) { return again($n + 1); }
again(0);
