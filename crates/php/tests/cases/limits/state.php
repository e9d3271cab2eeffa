<?php
echo json_encode([ini_get('precision'), getenv('LEFT'), getcwd(), date_default_timezone_get(), umask()]);
