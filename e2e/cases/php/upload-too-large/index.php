<?php foreach ($_FILES as $file) { echo $file['name'], ' ', $file['size'], ' error ', $file['error'], "\n"; }
