<?php
clearstatcache(true);
echo 'cleared';
