<?php
ob_end_clean();
echo 'some';
flush();
not_a_function();
