"""GLSL of the rasteriser. All positions and directions are in the camera's optical frame."""

MOST_LIGHTS = 4
MOST_SHADES = 24  # bodies that darken their neighbourhood

SURFACE_VERTEX = """
#version 330
uniform mat4 projection;
uniform mat4 model;       // mesh -> camera, with scale
uniform mat3 turn;        // of normals
uniform mat4 to_shadow;   // camera -> shadow map, in [0, 1]
uniform float repeat;
in vec3 in_position;
in vec3 in_normal;
in vec2 in_uv;
out vec3 position;
out vec3 normal;
out vec2 uv;
out vec3 in_light;
void main() {
    vec4 p = model * vec4(in_position, 1.0);
    position = p.xyz;
    normal = turn * in_normal;
    uv = in_uv * repeat;
    in_light = (to_shadow * p).xyz;
    gl_Position = projection * p;
}
"""

# Shared by surface and backdrop: the camera's response, and look-up in the panorama.
COMMON = """
#version 330
uniform vec3 exposure;    // with white balance
uniform mat3 to_environment;
uniform sampler2D panorama;
vec3 photograph(vec3 light) {
    vec3 x = max(light * exposure, 0.0);
    x = mix(x, 0.8 + 0.2 * (1.0 - exp(-(x - 0.8) / 0.2)), step(0.8, x));   // highlights roll off
    return mix(12.92 * x, 1.055 * pow(x, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, x));
}
vec3 look_up(vec3 direction, float blur) {
    vec3 d = to_environment * direction;
    vec2 at = vec2(atan(d.y, d.x) / 6.2831853, acos(clamp(d.z, -1.0, 1.0)) / 3.1415927);
    return textureLod(panorama, at, blur).rgb;
}
"""

SURFACE_FRAGMENT = (
    COMMON
    + """
const int LIGHTS = <lights>;
const int SHADES = <shades>;
uniform sampler2D albedo_map;
uniform sampler2DShadow shadow_map;
uniform vec3 tint;
uniform vec4 surface;     // roughness, metallic, specular, own index among the shades
uniform vec3 harmonics[9];
uniform float ambient;     // factor on the environment
uniform int light_count;
uniform vec3 light_direction[LIGHTS];
uniform vec3 light_color[LIGHTS];
uniform float shadowed;   // 1 when light 0 casts shadows
uniform float softness;   // of its edge, in the shadow map
uniform int shade_count;
uniform vec4 shades[SHADES];   // centre and radius of bodies
in vec3 position;
in vec3 normal;
in vec2 uv;
in vec3 in_light;
uniform int number;
layout(location = 0) out vec4 color;
layout(location = 1) out uint body_number;
layout(location = 2) out float depth;

vec3 soft_light(vec3 n) {
    vec3 d = to_environment * n;
    return max(harmonics[0] * 0.282095 + harmonics[1] * 0.488603 * d.y + harmonics[2] * 0.488603 * d.z
        + harmonics[3] * 0.488603 * d.x + harmonics[4] * 1.092548 * d.x * d.y + harmonics[5] * 1.092548 * d.y * d.z
        + harmonics[6] * 0.315392 * (3.0 * d.z * d.z - 1.0) + harmonics[7] * 1.092548 * d.x * d.z
        + harmonics[8] * 0.546274 * (d.x * d.x - d.y * d.y), 0.02);
}

float open_sky(vec3 n) {
    float seen = 1.0;
    int own = int(surface.w);
    for (int i = 0; i < shade_count; i++) {
        vec3 to = shades[i].xyz - position;
        float far = dot(to, to), r = shades[i].w;
        float shut = i == own ? 0.0 : max(dot(n, to) * inversesqrt(far) * 0.85 + 0.15, 0.0) * min(r * r / far, 1.0);
        seen *= 1.0 - 0.8 * shut;
    }
    return seen;
}

float lit(vec3 n) {
    if (shadowed < 0.5 || any(greaterThan(abs(in_light.xy - 0.5), vec2(0.5)))) return 1.0;
    float bias = 0.002 + 0.004 * (1.0 - max(dot(n, light_direction[0]), 0.0));
    vec3 at = vec3(in_light.xy, min(in_light.z, 1.0) - bias);   // far behind all bodies is behind them too
    float s = softness;
    return (texture(shadow_map, at + vec3(s, 0.4 * s, 0.0)) + texture(shadow_map, at + vec3(-0.2 * s, -s, 0.0))
        + texture(shadow_map, at + vec3(-0.8 * s, 0.6 * s, 0.0))) / 3.0;
}

void main() {
    vec3 v = -normalize(position), n = normalize(normal);
    if (dot(n, v) < 0.0) n = -n;
    float roughness = surface.x, nv = max(dot(n, v), 0.02);
    vec3 albedo = texture(albedo_map, uv).rgb * tint;
    vec3 f0 = mix(vec3(surface.z), albedo, surface.y);
    vec3 body = albedo * (1.0 - surface.y);
    float open = open_sky(n);
    vec3 fresnel = f0 + (max(vec3(1.0 - roughness), f0) - f0) * pow(1.0 - nv, 5.0);
    vec3 mirrored = look_up(reflect(-v, n), roughness * 5.0);
    vec3 total = open * ambient * (body * soft_light(n) + fresnel * mirrored * (1.0 - 0.5 * roughness));
    float a = max(roughness * roughness, 0.01), a2 = a * a;
    for (int i = 0; i < light_count; i++) {
        vec3 l = light_direction[i], h = normalize(l + v);
        float nl = dot(n, l);
        if (nl <= 0.0) continue;
        float nh = max(dot(n, h), 0.0), vh = max(dot(v, h), 0.0);
        float lobe = nh * nh * (a2 - 1.0) + 1.0;
        float k = 0.5 * a;
        float sharp = a2 / (lobe * lobe) / (4.0 * (nv * (1.0 - k) + k) * (nl * (1.0 - k) + k));
        vec3 f = f0 + (1.0 - f0) * pow(1.0 - vh, 5.0);
        total += light_color[i] * nl * (body + min(f * sharp, 20.0)) * (i == 0 ? lit(n) : 1.0);
    }
    color = vec4(photograph(total), 1.0);
    body_number = uint(number);
    depth = position.z;
}
""".replace("<lights>", str(MOST_LIGHTS)).replace("<shades>", str(MOST_SHADES))
)

BACKDROP_VERTEX = """
#version 330
in vec2 in_corner;
out vec2 at;
void main() {
    at = in_corner;
    gl_Position = vec4(2.0 * in_corner - 1.0, 0.9999, 1.0);
}
"""

BACKDROP_FRAGMENT = (
    COMMON
    + """
uniform sampler2D picture;
uniform vec4 window;      // left, top, width, height in the picture
uniform vec4 lens;        // (cx + 0.5) / W, (cy + 0.5) / H, W / fx, H / fy
uniform float gain;
uniform float around;     // 1: the panorama, blurred by gain; 0: the picture
in vec2 at;
layout(location = 0) out vec4 color;
layout(location = 1) out uint body_number;
layout(location = 2) out float depth;
void main() {
    body_number = 0u;
    depth = 0.0;
    vec3 ray = normalize(vec3((at - lens.xy) * lens.zw, 1.0));
    vec3 light = around > 0.5 ? look_up(ray, gain) : texture(picture, window.xy + at * window.zw).rgb * gain / exposure;
    color = vec4(photograph(light), 1.0);
}
"""
)

MASK_VERTEX = """
#version 330
uniform mat4 projection;
uniform mat4 model;
in vec3 in_position;
void main() {
    gl_Position = projection * model * vec4(in_position, 1.0);
}
"""

MASK_FRAGMENT = """
#version 330
out uint covered;
void main() {
    covered = 1u;
}
"""

# In front of everything, but where the texture is white.
SHIELD_VERTEX = """
#version 330
in vec2 in_corner;
void main() {
    gl_Position = vec4(in_corner, -1.0, 1.0);
}
"""

SHIELD_FRAGMENT = """
#version 330
uniform sampler2D leave_open;
layout(location = 0) out vec4 color;
layout(location = 1) out uint body_number;
layout(location = 2) out float depth;
void main() {
    if (texelFetch(leave_open, ivec2(gl_FragCoord.xy), 0).r > 0.5) discard;
    color = vec4(0.0);
    body_number = 0u;
    depth = 0.0;
}
"""
