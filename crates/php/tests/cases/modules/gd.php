<?php
function work() {
    $image = imagecreatetruecolor(60, 40);
    imageantialias($image, true);
    imagefilledellipse($image, 30, 20, 40, 20, imagecolorallocate($image, 200, 30, 10));
    imagestring($image, 5, 2, 2, 'gd', 0xffffff);
    $image = imagerotate(imagescale($image, 30), 30, 0);
    $sums = [];
    foreach (['png', 'jpeg', 'webp', 'gif', 'bmp'] as $format) {
        ob_start();
        ("image$format")($image);
        $sums[$format] = md5($text = ob_get_clean());
        $sums["$format read"] = imagesx(imagecreatefromstring($text));
    }
    $fonts = glob('/usr/share/fonts/truetype/*/*.ttf');
    if ($fonts) imagettftext($image, 12, 0, 1, 20, 0xffffff, $fonts[0], 'text');
    return [$sums, @imagecreatefromstring('no image'), gd_info()['GIF Read Support']];
}
function left() { return ['font' => @imageloadfont('none') !== false]; }
