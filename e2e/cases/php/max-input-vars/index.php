<?php echo count($_GET), ' ', count($_POST);
