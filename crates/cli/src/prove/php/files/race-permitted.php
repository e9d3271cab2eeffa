<?php
// The same with two directories of one's own: what is in the other one is served, and so seen.
require __DIR__ . '/../prelude.php';
$place = "$me->home/.hostel-prove-race-$server->run";
mkdir("$place/other", 0755, true);
file_put_contents("$place/other/public", $told->kept);
symlink('other', "$place/current");
usleep(300000);
say('have it served', 'done', 'permitted');
unlink("$place/current");
unlink("$place/other/public");
rmdir("$place/other");
rmdir($place);
