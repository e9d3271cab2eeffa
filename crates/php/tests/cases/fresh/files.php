<?php
// What PHP maps: small files that are copied or passed on, a larger one, and the file of a time zone.
$small = tempnam(sys_get_temp_dir(), 'small');
$large = tempnam(sys_get_temp_dir(), 'large');
file_put_contents($small, 'small');
file_put_contents($large, str_repeat('large', 200000));
$found = [(new DateTime('2026-01-01', new DateTimeZone('America/New_York')))->format('P')];
foreach ([$small, $large] as $file) {
    copy($file, "$file.copy");
    ob_start();
    readfile("$file.copy");
    $found[] = md5(ob_get_clean()) === md5_file($file);
    unlink($file);
    unlink("$file.copy");
}
echo json_encode($found);
