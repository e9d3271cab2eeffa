<?php
// load: imagick
function work() {
    putenv('MAGICK_CODER_MODULE_PATH=/var/lib/hostel-test/php-modules/usr/lib/x86_64-linux-gnu/ImageMagick-6.9.11/modules-Q16/coders');
    $image = new Imagick;
    $image->newImage(300, 200, 'red', 'png');
    $image->addNoiseImage(Imagick::NOISE_UNIFORM);
    $image->resizeImage(200, 100, Imagick::FILTER_LANCZOS, 1);
    $image->blurImage(2, 1);
    Imagick::setResourceLimit(Imagick::RESOURCETYPE_MAP, 33554432);
    return [$image->getImageWidth(), Imagick::getVersion()['versionNumber'], count(Imagick::queryFormats()) > 10];
}
function left() { return ['limit' => Imagick::getResourceLimit(Imagick::RESOURCETYPE_MAP) == 33554432]; }
