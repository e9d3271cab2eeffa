<?php echo 'the next request has its own limit: ', ini_get('memory_limit');
