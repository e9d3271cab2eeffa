<?php echo "a\0b\x01\x7f", chr(0xff);
