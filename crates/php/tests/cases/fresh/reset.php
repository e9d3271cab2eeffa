<?php opcache_reset(); echo "reset";
