<?php
// load: uploadprogress
function work() { return [uploadprogress_get_info('none'), @uploadprogress_get_contents('none', 'a')]; }
function left() { return ['entry' => uploadprogress_get_info('none') !== null]; }
