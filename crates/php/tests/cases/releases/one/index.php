<?php echo "one";
