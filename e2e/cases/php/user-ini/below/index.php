<?php echo 'inherited: ', ini_get('memory_limit');
