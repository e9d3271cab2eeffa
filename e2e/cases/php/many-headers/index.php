<?php
for ($i = 0; $i < 60; $i++) {
    header("X-Header-$i: value $i");
}
echo 'ok';
