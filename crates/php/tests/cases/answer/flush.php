<?php
ob_end_clean();
echo 'first';
flush();
usleep(200000);
echo 'second';
