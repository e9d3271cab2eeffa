<?php
http_response_code(204);
header('X-Still: here');
if (isset($_GET['echo'])) { echo 'must not be sent'; }
