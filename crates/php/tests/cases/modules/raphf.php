<?php
// load: raphf
function work() { return [raphf\stat_persistent_handles() !== null, raphf\clean_persistent_handles()]; }
function left() { return ['handles' => str_contains(json_encode(raphf\stat_persistent_handles()), 'seen')]; }
