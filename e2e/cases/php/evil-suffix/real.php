<?php echo 'real';
