<?php
foreach ($_SERVER as $name => $value) {
    echo "$name=$value\n";
}
echo '--', getenv('HTTP_HOST'), ' ', json_encode(getenv('PHPRC')), ' ', count(getenv()) - count($_SERVER), ' ', json_encode($_ENV), "\n";
echo json_encode(getallheaders()), "\n";
echo php_sapi_name(), ' ', getcwd(), ' ', __FILE__, ' ', json_encode(get_included_files()), "\n";
