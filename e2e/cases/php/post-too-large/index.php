<?php echo count($_POST), ' ', strlen(file_get_contents('php://input')), ' ', $_SERVER['CONTENT_LENGTH'];
