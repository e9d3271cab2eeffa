<?php
// load: php_mapscriptng
function work() {
    $map = msLoadMapFromString('MAP NAME "seen" SIZE 100 80 EXTENT 0 0 10 10 LAYER NAME "a" TYPE POINT STATUS ON FEATURE POINTS 5 5 END END CLASS STYLE COLOR 255 0 0 SIZE 9 END END END END', '/tmp/');
    $image = $map->draw();
    try { new mapObj('/none.map'); } catch (Exception $e) { $said = get_class($e); }
    return [$map->numlayers, strlen($image->getBytes()) > 0, $said ?? null, msGetVersionInt() > 80000];
}
function left() { return ['error' => msGetErrorObj()->code !== 0]; }
