<?php
// load: igbinary
function work() {
    $o = new ArrayObject([1, 'a' => [true, null, 1.5]]);
    return [bin2hex(igbinary_serialize(['a', 'a', 5])), igbinary_unserialize(igbinary_serialize($o)) == $o, @igbinary_unserialize("\0\0\0\2none"), ini_set('session.serialize_handler', 'igbinary') !== false];
}
function left() { return ['handler' => ini_get('session.serialize_handler') === 'igbinary']; }
