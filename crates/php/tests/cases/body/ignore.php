<?php echo "ignored";
