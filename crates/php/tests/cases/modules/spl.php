<?php
function work() {
    spl_autoload_register(function ($name) { eval("class $name {}"); });
    spl_autoload_extensions('.seen');
    $heap = new SplMinHeap;
    foreach ([3, 1, 2] as $n) $heap->insert($n);
    $file = new SplTempFileObject;
    $file->fwrite("a\nb\n");
    return [iterator_to_array($heap, false), get_class(new Loaded), $file->ftell(), spl_object_id($heap) > 0, count(new SplFixedArray(9))];
}
function left() { return ['loaders' => spl_autoload_functions() !== [], 'extensions' => spl_autoload_extensions() === '.seen', 'class' => class_exists('Loaded', false)]; }
