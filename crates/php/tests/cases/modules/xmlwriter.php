<?php
function work() {
    $writer = new XMLWriter;
    $writer->openMemory();
    $writer->startDocument();
    $writer->writeElement('a', '<');
    return $writer->outputMemory();
}
function left() { return ['text' => xmlwriter_open_memory()->outputMemory() !== '']; }
