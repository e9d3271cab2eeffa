<?php echo "two";
