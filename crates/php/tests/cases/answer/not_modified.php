<?php
http_response_code(304);
header('ETag: "x"');
