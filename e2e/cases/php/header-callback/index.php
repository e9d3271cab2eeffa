<?php
header_register_callback(function () { header('X-From-Callback: yes'); header_remove('X-Taken-Back'); });
header('X-Taken-Back: yes');
echo 'ok';
