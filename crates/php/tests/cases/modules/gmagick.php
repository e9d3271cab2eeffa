<?php
// load: gmagick
function work() {
    putenv('MAGICK_CODER_MODULE_PATH=/var/lib/hostel-test/php-modules/usr/lib/GraphicsMagick-1.3.40/modules-Q16/coders');
    $image = new Gmagick;
    $image->newImage(300, 200, 'red', 'ppm');
    $image->blurImage(3, 2)->resizeImage(150, 100, Gmagick::FILTER_LANCZOS, 1)->rotateImage('blue', 30);
    $text = $image->getImageBlob();
    $again = new Gmagick;
    $again->readImageBlob($text);
    $image->setResourceLimit(Gmagick::RESOURCETYPE_MAP, 33554432);
    return [$again->getImageWidth(), strlen($text) > 1000, $image->getImageHistogram() !== null, count($image->queryFormats()) > 10];
}
function left() { return ['limit' => (new Gmagick)->getResourceLimit(Gmagick::RESOURCETYPE_MAP) == 33554432]; }
