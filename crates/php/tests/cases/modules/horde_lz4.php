<?php
// load: horde_lz4
function work() { return [horde_lz4_uncompress(horde_lz4_compress(str_repeat('text', 500))) === str_repeat('text', 500), strlen(horde_lz4_compress(str_repeat('a', 500), true)) < 100, @horde_lz4_uncompress('none')]; }
function left() { return ['text' => horde_lz4_compress('a') !== horde_lz4_compress('a')]; }
