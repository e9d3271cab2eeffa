<?php
// load: geos
function work() {
    $reader = new GEOSWKTReader;
    $square = $reader->read('POLYGON((0 0,0 2,2 2,2 0,0 0))');
    $other = $square->buffer(1);
    $writer = new GEOSWKTWriter;
    $writer->setTrim(true);
    try { $reader->read('NONE'); } catch (Exception $e) { $said = substr($e->getMessage(), 0, 14); }
    return [$square->area(), $other->area() > 4, $writer->write($square->centroid()), $said, $square->intersects($other), GEOSVersion()];
}
function left() { return ['format' => (new GEOSWKTWriter)->getOutputDimension() !== 2]; }
