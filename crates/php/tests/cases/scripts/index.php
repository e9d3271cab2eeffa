<?php echo "ran ", __FILE__;
