<?php echo "other, in ", basename(__DIR__), " while the directory is ", basename(getcwd()), "\n"; include 'part.inc';
