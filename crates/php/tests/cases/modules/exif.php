<?php
function work() {
    $tiff = "II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\x06\0\0\0\x1a\0\0\0\0\0\0\0maker\0";
    $name = tempnam(sys_get_temp_dir(), 'exif');
    file_put_contents($name, $tiff);
    $read = exif_read_data($name);
    $type = exif_imagetype($name);
    unlink($name);
    return [$read['Make'] ?? null, $type, exif_tagname(0x010f)];
}
function left() { return ['tags' => exif_tagname(0x0110) !== 'Model']; }
