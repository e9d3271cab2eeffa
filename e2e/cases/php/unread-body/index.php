<?php echo 'the body was not read';
